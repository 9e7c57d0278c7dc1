"""What is kept of runs, and for whom: history, links, the gallery and similar pictures. Each listens to the engine."""
