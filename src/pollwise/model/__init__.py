"""The values and protocols that cross the seams."""
