"""`vdeploy verify`: is this artifact whole, and does it compute here what it computed where it was made?"""

from __future__ import annotations

import typer

from vacc_deploy.cli.console import print_fields, print_json
from vacc_deploy.cli.options import Json, Prefix
from vacc_deploy.errors import ArtifactError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

EXAMPLES = ("vdeploy verify deploy_weights/net/mod",)


@app.command()
def verify(
    prefix: Prefix,
    json: Json = False,
) -> None:
    """Check an artifact's digests and replay its stored test vectors, bit for bit."""
    from vacc_deploy.runtime.verify import verify_artifact

    result = verify_artifact(prefix)
    if json:
        print_json(
            {
                "prefix": str(prefix),
                "ok": result.ok,
                "damaged": result.damaged,
                "replayed": result.replayed,
                "differing_elements": result.outputs,
            }
        )
    else:
        replay = "no test vectors stored (compiled for another CPU)"
        if result.replayed:
            replay = ", ".join(f"{name}: {count} differ" for name, count in result.outputs.items())
        print_fields(
            {
                "artifact": prefix,
                "digests": "damaged: " + ", ".join(result.damaged) if result.damaged else "all match",
                "vectors": replay if not result.damaged else "not run: the files are damaged",
            }
        )
    if not result.ok:
        raise ArtifactError(
            "the artifact is damaged"
            if result.damaged
            else "the artifact computes other bytes on this machine",
            where=str(prefix),
            why=", ".join(result.damaged) or str(result.outputs),
            hint="copy it again, or compile the model again",
        )
