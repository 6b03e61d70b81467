"""Compile the server's .proto files to the descriptor set that is read at run time.

    python scripts/compile_protos.py

A descriptor set instead of generated modules: those would enter their messages into the process-wide pool,
where they clash with a client's own copies ("duplicate symbol 'tensorflow.serving.PredictRequest'").
"""

import sys
from importlib import resources
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "src/trapline/serving/protos"


def compile_protos(output: Path) -> None:
    """Write the descriptors of every .proto of the folder, and of what they import, to `output`."""
    from grpc_tools import protoc

    names = sorted(path.name for path in FOLDER.glob("*.proto"))
    well_known = resources.files("grpc_tools") / "_proto"
    options = ["", f"-I{FOLDER}", f"-I{well_known}", "--include_imports", f"--descriptor_set_out={output}"]
    if protoc.main([*options, *names]) != 0:
        sys.exit("protoc failed")


if __name__ == "__main__":
    compile_protos(FOLDER / "protos.binpb")
