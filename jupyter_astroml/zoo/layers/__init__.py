"""Networks that are a list of plain layers: what published weights are imported into."""
