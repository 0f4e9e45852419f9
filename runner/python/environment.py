"""Makes the virtual environment of a bundle: `python environment.py ENV BUNDLE`.

The Runner runs this once a bundle, as the user of its function. What
requirements.txt names is taken from the wheels in the bundle's folder `wheels`
where all of it is there, and only else from the index that pip is set to.
"""

import importlib.util
import os
import subprocess
import sys
import venv


def pip_command(env):
    """pip for the environment: this interpreter's, or one put into it."""
    python = os.path.join(env, "bin", "python")
    if importlib.util.find_spec("pip") is not None:
        probe = subprocess.run([sys.executable, "-m", "pip", "--python", python, "--version"], capture_output=True)
        if probe.returncode == 0:
            return [sys.executable, "-m", "pip", "--python", python]
    if importlib.util.find_spec("ensurepip") is None:
        sys.exit(f"{sys.executable} has neither pip (22.3 or newer) nor ensurepip: install python3-pip or python3-venv on this machine")
    subprocess.run([python, "-m", "ensurepip", "--default-pip"], check=True, stdout=subprocess.DEVNULL)
    return [python, "-m", "pip"]


def install(pip, bundle, *options):
    """Installs what the bundle requires; the exit status of pip."""
    command = [
        *pip, "install", "--no-input", "--no-cache-dir", "--disable-pip-version-check", "--no-warn-script-location",
        "--quiet", *options, "-r", os.path.join(bundle, "requirements.txt"),
    ]
    return subprocess.run(command, cwd=bundle).returncode


def main(env, bundle):
    venv.EnvBuilder(symlinks=True, with_pip=False).create(env)
    pip = pip_command(env)
    wheels = os.path.join(bundle, "wheels")
    if os.path.isdir(wheels):
        if install(pip, bundle, "--no-index", "--find-links", wheels) == 0:
            return 0
        print("the bundle's wheels are not all that it requires: the rest is taken from the index", flush=True)
        return install(pip, bundle, "--find-links", wheels)
    return install(pip, bundle)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
