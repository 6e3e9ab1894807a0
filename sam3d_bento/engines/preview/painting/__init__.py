"""The photo on the mesh: which vertices it sees, and what colour each one gets."""
