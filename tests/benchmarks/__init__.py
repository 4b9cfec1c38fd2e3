"""How fast Tocsin is, as ratios against a limit measured in the same run. `make bench` writes docs/benchmarks.md."""
