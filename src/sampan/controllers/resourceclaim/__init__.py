"""Resource claims: made from templates for pods, reserved, and freed when nobody uses them."""
