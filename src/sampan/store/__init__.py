"""Row 4: bytes with revisions. `base` is the contract, `memory` and `sqlite` keep it; knows nothing of Kubernetes objects."""
