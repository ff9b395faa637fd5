import os
import warnings

from celery.bin.celery import celery as celery_command
from click.testing import CliRunner

# Celery's own command line warns of an option that it has twice.
warnings.simplefilter("ignore")


def cli(*argv):
    """Runs Celery's command line in this process: what it printed and its exit status."""
    before = ["--workdir", os.environ["PEER_FOLDER"], "-A", "python_tasks"]
    done = CliRunner().invoke(celery_command, before + list(argv), prog_name="celery")
    return {"exit": done.exit_code, "out": done.output}
