"""`make bench`, `make bench ARGS="arrival memory"`: the figures of docs/performance.md, measured here and now.

Measure on an otherwise idle machine; each benchmark states what its figures are compared with.
"""

import argparse
import os
import platform

from bench import arrival, bridge, control, deploy, memory, metrics, scaling, xmpp

BENCHMARKS = {
    "memory": memory,
    "arrival": arrival,
    "metrics": metrics,
    "control": control,
    "scaling": scaling,
    "xmpp": xmpp,
    "bridge": bridge,
    "deploy": deploy,
}


def main() -> None:
    """Run the benchmarks named, or all of them."""
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, module in BENCHMARKS.items():
        parser.epilog = f"{parser.epilog or ''}{name}: {(module.__doc__ or '').splitlines()[0]}\n"
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; none: all")
    names = parser.parse_args().names or list(BENCHMARKS)
    unknown = sorted(set(names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    print(
        f"{os.cpu_count()} cores, {platform.machine()}, {platform.python_implementation()} {platform.python_version()}"
    )
    print(f"load average before: {os.getloadavg()[0]:.2f} (it should be near 0)")
    for name in names:
        print(f"\n== {name}")
        BENCHMARKS[name].main()


if __name__ == "__main__":
    main()
