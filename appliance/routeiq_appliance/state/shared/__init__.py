"""State that all workers and replicas share: `interface` beside `memory` (one worker) and `redis`."""
