"""What ingest decides about one alert: pure checks and bounds."""
