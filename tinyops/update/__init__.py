"""Updates: keys, capsules, deltas, signed manifests, and what carries them to devices."""
