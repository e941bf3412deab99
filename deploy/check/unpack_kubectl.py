"""Takes kubectl out of the package that it comes in: a program in a zip in a tar in a wheel."""

import importlib.util
import io
import sys
import tarfile
import zipfile
from pathlib import Path


def main(destination: Path) -> None:
    # Found, not imported: what it imports is not installed.
    package = importlib.util.find_spec("aws_cdk")
    assert package is not None
    assert package.submodule_search_locations is not None
    (archive,) = (path for place in package.submodule_search_locations for path in Path(place).glob("lambda_layer_kubectl_*/_jsii/*.tgz"))
    with tarfile.open(archive) as outer:
        layer = outer.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            destination.write_bytes(inner.read("kubectl/kubectl"))
    destination.chmod(0o755)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
