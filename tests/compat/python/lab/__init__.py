"""What the cases of the compatibility suite are written with."""
