import sys, time
from prove.house import open_house
import os, logging
logging.disable(logging.CRITICAL)
from prove.mutations import BY_NAME
seeds = sys.argv[1:] or ["1"]
with open_house(BY_NAME.get(os.environ.get("MUTATE",""))) as house:
    for seed in seeds:
        told = house.tell(seed)
        print(f"seed {seed}: {told.seconds:.1f} s, violated: {len(told.violated)}")
        for finding in told.violated:
            print("  ", finding.sentence, finding.rows)
            for row in finding.first: print("      ", row[:600])
        open(f"/tmp/prove-{seed}.story","w").write("\n".join(told.story))
        open(f"/tmp/prove-{seed}.counts","w").write("\n".join(f"{n} {k}" for k,n in sorted(told.counts.items())))
