"""What two or more rooms must agree on: settings, names, keys, records, the frontier, the broker.

Owns every Redis key and every message shape. May import third-party libraries and itself, never a room
(`producer`, `worker`, `export`, `demo`, `embedded`, `lab`, `poolcrawl`). Inside, the direction is
`audit` -> `frontier`, `results`, `broker` -> `records`, `settings`, `urls` -> `keys`, `names`, `errors`.
"""
