"""What a training records and tells on its way."""

from collections.abc import Callable, Mapping

import keras

from kvae import evaluation
from kvae.data import masks
from kvae.data.dataset import Dataset
from kvae.evaluation import pictures
from kvae.evaluation.motion import NUM_JUDGED, Motion, given_up, metrics_of, motion_of, not_seen
from kvae.models.autoencoder import SequenceAutoencoder
from kvae.models.factory import make_model
from kvae.runs.run_folder import RunFolder
from kvae.training.distribution import Distribution
from kvae.training.health import check_bound
from kvae.training.progress import Progress
from kvae.training.schedule import Schedule

_EPOCHS, _EVALUATIONS = 5, 3
"""For how many of each something has to be unseen, before that is said."""


class Recorder:
    """Write into the run's folder while a model learns, and tell how it goes.

    First, where config.init_model names a model to begin with, that one's test bound, as epoch 0. After every
    config.display_step epochs: the test bound, a row of metrics.csv, TensorBoard's scalars,
    a line of progress; model.keras where the bound on the sequences that are held out is the best so far, or
    every time where none are. After the first epoch the
    graph of the bound. After the first and every config.generate_step: films and plots, and the imputation
    of the first test batch. The last epoch's films are left to the final evaluation, which uses the best
    model.

    Args:
        model: a built model.
        folder: the `RunFolder`.
        test: the test data; None: there are none, and what is held out is looked at in their place.
        validation: the sequences that are held out to choose the model by; None: the last one is kept.
        say: what to call with a line of progress.
        distribution: the `Distribution`; of several workers the chief alone evaluates and records.
        draws: whether there are to be films, plots, the graph of the bound and the imputation.
    """

    def __init__(
        self,
        model: SequenceAutoencoder,
        folder: RunFolder,
        test: Dataset | None,
        validation: Dataset | None = None,
        say: Callable[[str], object] = print,
        distribution: Distribution | None = None,
        draws: bool = True,
    ):
        self.trained, self.config, self.folder, self.say = model, model.config, folder, say
        self.test, self.validation = test, validation
        # What nothing is learned from.
        self._unlearned = validation if test is None else test
        self._drawn = self._unlearned if draws else None
        self._motion: Motion | None = None
        self.distribution = distribution or Distribution()
        self._twin: SequenceAutoencoder | None = None
        self._unseen_at: dict[str, list[int]] = {}
        self._told: set[str] = set()
        self._began = (0, 0.0)

    def local_model(self) -> SequenceAutoencoder:
        """Return the model, or where replicas share its training a copy outside of that, as it is now."""
        if self.distribution.strategy is None:
            return self.trained
        if self._twin is None:
            self._twin = make_model(self.config, name=self.trained.name)
            self._twin.build_from_config(self.trained.get_build_config())
            self._twin.compile()
        pairs = zip(self._twin.weights, self.trained.weights, strict=True)
        for variable, trained in pairs:
            variable.assign(self.distribution.read(trained))
        return self._twin

    def begin(self, progress: Progress) -> None:
        """Evaluate and record the model of an earlier run as epoch 0: what was saved is never worse than it.

        Args:
            progress: the `Progress`, in which nothing has been done.

        Raises:
            TrainingError: the bound is not finite.
        """
        if not self.distribution.is_chief:
            return
        model = self.local_model()
        test, validation = self._evaluate(model, progress, 0)
        if self._drawn is not None:
            self._add_graph(model, self._drawn)
        self.folder.record(0, 0, {"seconds": 0.0}, test, validation)
        self.say(f"{self.config.init_model} begins with   {_bounds_in_words(test, validation)}")

    def end_epoch(self, progress: Progress, step: int, seconds: float) -> None:
        """Evaluate and record, if it is time for it.

        Args:
            progress: the `Progress`; its epoch has been trained, but is not counted yet.
            step: updates completed.
            seconds: time spent so far.

        Raises:
            TrainingError: the bound is not finite any more; nothing is saved then.
        """
        done, last = progress.epoch + 1, progress.epoch + 1 == self.config.num_epochs
        # In training, `sampled` is `state_space` under another name where it is there at all.
        train = {name: self._mean(mean) for name, mean in self.trained.means.items() if name != "sampled"}
        check_bound("training", train["total"], done)
        look = done == 1 or done % self.config.generate_step == 0 or last
        if not self.distribution.is_chief or not (look or done % self.config.display_step == 0):
            return
        model = self.local_model()
        test, validation = self._evaluate(model, progress, done)
        if self._drawn is not None and done == 1 and not self.config.init_model:
            self._add_graph(model, self._drawn)
        if self._drawn is not None and look:
            found = self._imputation(model, self._drawn)
            test, validation = self._with(found, test, validation)
            if not last:
                pictures.draw(model, self._drawn, self.folder, step, f"epoch_{done:03d}_")
        train |= {"learning_rate": Schedule(self.config).learning_rate(progress.epoch), "seconds": seconds}
        self.folder.record(done, step, train, test, validation)
        left = self._seconds_left(done, seconds)
        self.say(
            f"epoch {done:3d}/{self.config.num_epochs}   bound {train['total']:9.3f}   "
            f"{_bounds_in_words(test, validation)}   {_motion_in_words({**validation, **test})}"
            f"{_duration(seconds)} gone, {_duration(left)} left"
        )
        self._warn(done)

    def begin_steps(self, epoch: int, seconds: float) -> None:
        """Note when the first step, which compiles, was done: what comes before says nothing of the rest.

        Args:
            epoch: epochs that had been completed.
            seconds: time spent until then.
        """
        self._began = epoch, seconds

    def _seconds_left(self, done: int, seconds: float) -> float:
        """Return how long the epochs that are left will take, as those since `begin_steps` did."""
        epoch, before = self._began
        return (seconds - before) / max(1, done - epoch) * (self.config.num_epochs - done)

    def end_refinement(
        self, model: SequenceAutoencoder, progress: Progress, step: int, seconds: float
    ) -> None:
        """Evaluate and record a model whose dynamics were trained alone, as the last epoch.

        Args:
            model: the refined `local_model`.
            progress: the `Progress`, all of whose epochs are done.
            step: updates completed.
            seconds: time spent so far.

        Raises:
            TrainingError: the bound is not finite any more; the model before stays saved.
        """
        done = self.config.num_epochs + self.config.refine_epochs
        test, validation = self._evaluate(model, progress, done)
        self.folder.record(done, step, {"seconds": seconds}, test, validation)
        self.say(
            f"dynamics alone, {self.config.refine_epochs} epochs   {_bounds_in_words(test, validation)}   "
            f"{_duration(seconds)} gone"
        )

    def _warn(self, epoch: int) -> None:
        """Say what the codes do not see, once, when that has lasted."""
        if self._motion is None:
            return
        for ways in (given_up, not_seen):
            name, words = ways.__name__, ways(self._motion, self.config)
            epochs = [*self._unseen_at.get(name, []), epoch] if words else []
            self._unseen_at[name] = epochs
            has_lasted = len(epochs) >= _EVALUATIONS and epoch - epochs[0] >= _EPOCHS - 1
            if has_lasted and name not in self._told:
                self._told.add(name)
                self.say(f"Warning: after epoch {epoch}: {words}")

    def _evaluate(
        self, model: SequenceAutoencoder, progress: Progress, epoch: int
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Return what is found on test data and on those held out; save the model if it is to be kept."""
        validation: dict[str, float] = {}
        test: dict[str, float] = {}
        if self.validation is not None:
            validation["total"] = evaluation.test_bound(model, self.validation)["total"]
            check_bound("validation", validation["total"], epoch)
        if self.test is not None:
            test = evaluation.test_bound(model, self.test)
            check_bound("test", test["total"], epoch)
        if not validation or validation["total"] > progress.best_bound:
            progress.best_bound = validation.get("total", progress.best_bound)
            progress.best_epoch = epoch
            self.folder.save_model(model)
        if self._unlearned is not None:
            self._motion = motion_of(model, self._unlearned.first(NUM_JUDGED))
            test, validation = self._with(metrics_of(self._motion), test, validation)
        return test, validation

    def _with(
        self, found: dict[str, float], test: dict[str, float], validation: dict[str, float]
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Return the numbers of test data and of those held out, with others of what is not learned from."""
        return (test, validation | found) if self.test is None else (test | found, validation)

    def _add_graph(self, model: SequenceAutoencoder, data: Dataset) -> None:
        # The evaluation's, which has been traced anyway; most of a training step's graph is its gradient.
        self.folder.events.add_graph(evaluation.graph_of_bound(model, data))

    def _mean(self, metric: keras.metrics.Mean) -> float:
        # Keras would ask all replicas, and add up what is the same on each.
        total, count = (self.distribution.read(variable) for variable in (metric.total, metric.count))
        return float(total / count) if count else 0.0

    def _imputation(self, model: SequenceAutoencoder, data: Dataset) -> dict[str, float]:
        """Return each method's fraction of wrong pixels on the hidden frames of the first batch."""
        first = data.first(self.config.batch_size)
        num_sequences, num_steps = first.shape[:2]
        mask = masks.planning_mask(
            num_sequences, num_steps, self.config.t_init_mask, self.config.t_steps_mask
        )
        errors = evaluation.imputation_errors(model, first, [mask])[0]
        return {method: error.wrong_pixels for method, error in errors.items()}


def _bounds_in_words(test: Mapping[str, float], validation: Mapping[str, float]) -> str:
    """Return what a line of progress says of the bound on data that are not learned from."""
    return "   ".join(
        f"{name} {of['total']:9.3f}" for name, of in (("validation", validation), ("test", test)) if of
    )


def _motion_in_words(test: Mapping[str, float]) -> str:
    """Return what a line of progress says of the motion that is explained; nothing where nothing moves."""
    if "explained" not in test:
        return ""
    # Of noise alone nothing is unseen.
    return f"motion {test['explained']:6.3f}, {100 * test.get('unseen', 0):3.0f} % unseen   "


def _duration(seconds: float) -> str:
    """Return a duration in words, such as 1 h 05 min."""
    minutes, seconds = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {seconds:02d} s"
