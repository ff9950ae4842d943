"""Claims in use by pods and volumes bound to claims: not deleted while they are."""
