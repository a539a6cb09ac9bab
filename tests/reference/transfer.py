# SPDX-License-Identifier: Apache-2.0
"""What the original's tool_transfer_control.py makes, in numpy: tests/golden/transfer.txt, the SHA-256 of all tensors' bytes in the order
of their names, of models of build/tests/make_model (see tests/cli/convert.sh).

    transfer.py CONTROLLED OLD NEW [OUT]       prints it; with OUT, compares tensor by tensor too

Made with numpy 2.3, safetensors 0.7."""
import hashlib
import sys

import numpy
from safetensors.numpy import load_file


def transfer(controlled, old, new):
    out = {}
    for key, p in controlled.items():
        if key.startswith("model_ema."):
            continue
        if key.startswith(("first_stage_model", "cond_stage_model")):
            out[key] = new[key]
            continue
        name = "model.diffusion_" + key[len("control_"):] if key.startswith("control_") else key
        out[key] = p + new[name] - old[name] if name in new else p
    return out


want = transfer(*map(load_file, sys.argv[1:4]))
digest = hashlib.sha256()
for key in sorted(want):
    digest.update(numpy.ascontiguousarray(want[key]).tobytes())
print(len(want), digest.hexdigest())
if len(sys.argv) > 4:
    got = load_file(sys.argv[4])
    assert got.keys() == want.keys(), got.keys() ^ want.keys()
    bad = [k for k in want if got[k].dtype != want[k].dtype or got[k].tobytes() != want[k].tobytes()]
    print("different:", bad[:10], len(bad))
