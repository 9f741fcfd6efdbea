"""The mypy side: reads annotations, walks functions, reports. The shape language decides."""
