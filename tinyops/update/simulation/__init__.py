"""A virtual fleet: processes of real device code, to which a seed's losses, power cuts and damage happen."""
