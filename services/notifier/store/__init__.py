"""The notifier's tables: deliveries, threads, the board's messages."""
