import keras
import pytest

from kvae.config import Config
from kvae.data.batches import Batches
from kvae.models.autoencoder import PHASE_ALL, PHASE_DYNAMICS, PHASE_VAE
from kvae.models.kvae import KVAE
from kvae.training.schedule import Schedule
from tests.kvae.training.small import TINY, videos


@pytest.mark.parametrize(
    ("only_vae_epochs", "kf_update_steps", "phases"),
    [
        (0, 10, [PHASE_DYNAMICS] * 10 + [PHASE_ALL] * 2),
        (2, 3, [PHASE_VAE] * 2 + [PHASE_DYNAMICS] * 3 + [PHASE_ALL] * 2),
        (1, 0, [PHASE_VAE, PHASE_ALL, PHASE_ALL]),
        (0, 0, [PHASE_ALL, PHASE_ALL]),
    ],
)
def test_phases_follow_each_other(only_vae_epochs, kf_update_steps, phases):
    schedule = Schedule(Config(only_vae_epochs=only_vae_epochs, kf_update_steps=kf_update_steps))
    assert [schedule.phase(epoch) for epoch in range(len(phases))] == phases


def test_the_learning_rate_is_a_staircase():
    schedule = Schedule(Config())
    for epoch, expected in {0: 0.007, 19: 0.007, 20: 0.00595, 39: 0.00595, 40: 0.0050575}.items():
        assert schedule.learning_rate(epoch) == pytest.approx(expected, rel=1e-12)
    # Counted over all phases.
    schedule = Schedule(Config(init_lr=1.0, decay_rate=0.5, decay_steps=2, only_vae_epochs=1))
    assert [schedule.learning_rate(epoch) for epoch in range(6)] == [1, 1, 0.5, 0.5, 0.25, 0.25]
    schedule = Schedule(Config(init_lr=0.3, decay_rate=1.0, decay_steps=1))
    assert schedule.learning_rate(70) == 0.3


class Watch(keras.callbacks.Callback):
    """Note, for every epoch, what moved and what the optimizer knew."""

    def __init__(self):
        super().__init__()
        self.epochs = []

    def on_epoch_begin(self, epoch, logs=None):
        self.before = {weight.path: weight.numpy() for weight in self.model.trainable_variables}
        optimizer = self.model.optimizer
        moments = [variable for variable in optimizer.variables if "learning_rate" not in variable.path]
        self.fresh = all((variable.numpy() == 0).all() for variable in moments)

    def on_epoch_end(self, epoch, logs=None):
        moved = {
            weight.path.split("/", 1)[1]
            for weight in self.model.trainable_variables
            if (weight.numpy() != self.before[weight.path]).any()
        }
        optimizer = self.model.optimizer
        facts = (int(optimizer.iterations), self.fresh, float(optimizer.learning_rate))
        self.epochs.append((moved, facts))


def test_fit_trains_the_groups_phase_by_phase(without_xla):
    config = Config(
        **TINY,
        only_vae_epochs=1,
        kf_update_steps=2,
        init_lr=0.01,
        decay_rate=0.5,
        decay_steps=2,
        learn_u=True,
        learn_noise=True,
    )
    model = KVAE(config)
    model.build((None, None, 8, 8))
    model.compile()
    watch = Watch()
    batches = Batches(videos(8), 4).of()
    model.fit(batches, epochs=5, callbacks=[Schedule(config), watch], verbose=0, shuffle=False)

    names = {weight.path.split("/", 1)[1] for weight in model.trainable_variables}
    alpha = {name for name in names if name.startswith("alpha/")}
    dynamics = {f"lgssm/{name}" for name in ("A", "B", "C", "a_0", "log_Q", "log_R", "log_Sigma0")}
    vae = {name for name in names if name.split("/")[0] in ("encoder", "decoder")}
    assert alpha | dynamics | vae == names
    assert len(alpha) >= 5
    moved = [moved for moved, _ in watch.epochs]
    assert moved == [vae, vae | dynamics, vae | dynamics, names, names]
    # Two updates an epoch; a new phase starts from zero, and only that.
    assert [facts for _, facts in watch.epochs] == [
        (2, True, pytest.approx(0.01)),
        (2, True, pytest.approx(0.01)),
        (4, False, pytest.approx(0.005)),
        (2, True, pytest.approx(0.005)),
        (4, False, pytest.approx(0.0025)),
    ]
