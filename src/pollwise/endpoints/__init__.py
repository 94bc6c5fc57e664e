"""The vendors, one module each. Import the one that you need: none of them is loaded for you."""
