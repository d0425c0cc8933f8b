"""Train a Kalman variational auto-encoder and show what it has learned: the main job.

python run_kvae.py --dataset box_gravity
python run_kvae.py --dataset my_videos/

Of an installed package the same is called `kvae train`. The work is in `kvae.commands.train`.
"""

from kvae.system import command

if __name__ == "__main__":
    command.begin()

import sys

from kvae.commands.train import main, run

__all__ = ["main", "run"]

if __name__ == "__main__":
    sys.exit(main())
