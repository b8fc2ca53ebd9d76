"""What the gateway tells about itself: `metrics` on a port of their own, `logs` as JSON lines, traces by OTLP."""
