"""Municipal registers and articles: asked one question at a time, never written to."""
