"""Finished Jobs with a time to live: deleted when it is over."""
