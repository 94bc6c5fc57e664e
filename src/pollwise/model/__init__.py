"""The values and protocols that all packages share."""
