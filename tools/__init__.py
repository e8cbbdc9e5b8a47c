"""What is used to build and deliver amoc; no part of what is installed."""
