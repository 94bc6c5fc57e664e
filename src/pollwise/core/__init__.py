"""All decisions, without side effects. Time, replies and random numbers are arguments."""
