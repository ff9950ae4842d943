"""Claims that ask for more than their volume has: who will enlarge it."""
