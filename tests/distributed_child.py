"""Train a tiny model in a process of its own: python -m tests.distributed_child STRATEGY LOG_DIR [EPOCHS]

With `mirrored` the processor counts as two devices.
"""

import sys
from unittest import mock

import kvae  # noqa: F401  First, for what it tells TensorFlow before that is imported.


def main(strategy, log_dir, num_epochs=3):
    import numpy as np
    import tensorflow as tf

    from kvae.config import Config
    from kvae.data.dataset import Dataset
    from kvae.evaluation import pictures
    from kvae.models.kvae import KVAE
    from kvae.models.lgssm import MixtureStateSpaceModel
    from kvae.runs.run_folder import RunFolder
    from kvae.system.signals import StopSignals
    from kvae.training import distribution
    from kvae.training.loop import train
    from kvae.training.recorder import Recorder

    if strategy != "multiworker":
        # What XLA compiles takes much of the time, and has tests of its own; two machines have it here.
        compiled = MixtureStateSpaceModel._value_and_gradients
        MixtureStateSpaceModel._value_and_gradients = tf.function(compiled.python_function, autograph=False)
    if strategy == "mirrored":
        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    where = distribution.make(strategy)
    config = Config(
        strategy=strategy,
        log_dir=log_dir,
        run_name="run",
        num_filters=(4,),
        alpha_units=5,
        K=2,
        # What bfloat16 rounds away depends on the share of the batch that a device is given.
        precision="float32",
        # What is set before training, and in a step beside the optimizer, is the same everywhere too.
        out_distr="gaussian",
        learn_pixel_var=True,
        pixel_var_from_errors=True,
        standardise=True,
        warm_up=0.5,
        decode_share=0.5,
        learn_noise=True,
        learn_offset=True,
        batch_size=4,
        num_epochs=int(num_epochs),
        refine_epochs=2,
        kf_update_steps=2,
        # Small enough to be reached, so that a clipping on each replica would show.
        max_grad_norm=2.0,
        train_miss_prob=0.3,
        generate_step=100,
        num_paths=0,
        # Takes long; on one device: tests/kvae/training/test_loop.py.
        profile=strategy == "multiworker",
    )
    with where.scope():
        model = KVAE(config)
        model.build((None, None, 8, 8))
    rng = np.random.default_rng(0)
    # Ten sequences in batches of four: the last one is not full, so the replicas' parts differ in weight.
    images = np.repeat(rng.integers(0, 2, [10, 1, 8, 8]), 6, axis=1).astype(np.uint8) * 255
    train_data = Dataset(images, np.zeros([10, 6, 0], np.float32), None)
    folder = RunFolder.create(config)
    with (
        mock.patch.object(pictures, "draw"),
        mock.patch.object(Recorder, "_imputation", return_value={}),
        mock.patch.object(Recorder, "_add_graph"),
    ):
        train(model, train_data, train_data, folder, StopSignals(), None, where)
    folder.close()
    weights = {weight.path.replace("/", "."): where.read(weight) for weight in model.weights}
    np.savez(folder.path / "weights.npz", **weights)


if __name__ == "__main__":
    main(*sys.argv[1:])
