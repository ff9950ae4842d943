"""StatefulSets: pods with names that stay, one after another, with their own claims."""
