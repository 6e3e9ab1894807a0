"""Paint the photo on the mesh: find which vertices it shows, and what colour each one gets."""
