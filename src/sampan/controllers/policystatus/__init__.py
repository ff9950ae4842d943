"""What the types of matched objects say about the expressions of a ValidatingAdmissionPolicy."""
