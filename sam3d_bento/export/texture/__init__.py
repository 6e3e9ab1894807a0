"""The picture on the mesh: where its colours come from, and how they are baked."""
