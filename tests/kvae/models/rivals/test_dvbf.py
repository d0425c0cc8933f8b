import numpy as np
import pytest
import tensorflow as tf

from kvae.config import Config
from kvae.models.rivals import DeepVariationalBayesFilter
from tests.kvae.models.rivals import linear, sampling
from tests.kvae.models.rivals.sampling import layer, log_normal, log_pixels, relu, softplus

FIRST_DEVIATION = np.sqrt(linear.FIRST_VARIANCE)


class ExactRecognition:
    """The posterior of a linear-Gaussian model's noise, in place of networks."""

    def __init__(self, messages):
        self.messages = messages

    def __call__(self, features, mask, controls):
        first = self.messages[:, 0]
        mean, variance = linear.posterior(
            linear.FIRST_MEAN, 1 / linear.FIRST_VARIANCE, (first[:, :2], first[:, 2:])
        )
        mean = (mean - linear.FIRST_MEAN) / FIRST_DEVIATION
        return mean, variance / linear.FIRST_VARIANCE, tf.concat([self.messages, controls], axis=-1)

    def moments(self, before, of_frame, seen):
        central = linear.A * before + linear.B * of_frame[:, 4:]
        mean, variance = linear.posterior(central, 1 / linear.Q, (of_frame[:, :2], of_frame[:, 2:4]))
        return (mean - central) / np.sqrt(linear.Q), variance / linear.Q


def linear_model():
    model = DeepVariationalBayesFilter(Config(model="dvbf", K=1, **linear.OPTIONS))
    model.build((None, None, 2, 2))
    linear.set_decoder(model)
    transition = model.transition
    transition.A.assign(np.diag(linear.A)[None])
    transition.B.assign(linear.B[None, :, None])
    transition.C.assign(np.diag(np.sqrt(linear.Q))[None])
    transition.first_hidden.kernel.assign(np.eye(2))
    transition.first_hidden.bias.assign([linear.ACTIVE] * 2)
    transition.first.kernel.assign(np.diag(FIRST_DEVIATION))
    transition.first.bias.assign(linear.FIRST_MEAN - linear.ACTIVE * FIRST_DEVIATION)
    return model


def test_with_the_exact_posterior_the_bound_of_a_linear_model_is_its_likelihood():
    model, (images, mask, controls) = linear_model(), linear.data()
    for n in range(3):
        exact = linear.log_likelihood(images[n], mask[n], controls[n, :, 0])
        many = [np.repeat(array[n : n + 1], 2000, axis=0) for array in (images, mask, controls)]
        messages = linear.exact_messages(images[n : n + 1], mask[n : n + 1], controls[n : n + 1, :, 0])
        model.recognition = ExactRecognition(tf.repeat(messages, 2000, axis=0))
        bounds = [float(model.elbo(*many, seed=seed).total) * mask[n].sum() for seed in range(10)]
        error = np.std(bounds) / np.sqrt(10)
        assert error < 0.02
        assert abs(np.mean(bounds) - exact) < 4 * error + 1e-3


def test_any_other_posterior_falls_short_of_it():
    model, (images, mask, controls) = linear_model(), linear.data()
    exact = sum(linear.log_likelihood(*of_one) for of_one in zip(images, mask, controls[..., 0], strict=True))
    bounds = [model.elbo(images, mask, controls, seed=seed) for seed in range(20)]
    assert np.mean([bound.total * bound.num_observed for bound in bounds]) < exact - 1


def log_weights(model, images, mask, controls, num_draws, is_posterior):
    """Return log p(x, w) - log q(w), with w from the posterior that the networks say, or from the prior."""
    rng = np.random.default_rng(int(is_posterior))
    r, t = model.recognition, model.transition
    features = model.features(images, model.seeds(0), mask) * mask[..., None]
    found = model.recognise(features, tf.constant(mask), tf.constant(controls))
    first_mean, first_variance = (x.numpy()[0] for x in found[:2])
    features = features.numpy()[0].astype(np.float64)
    A, B, C = (x.numpy().astype(np.float64) for x in (t.A, t.B, t.C))
    states, total = None, np.zeros(num_draws)
    for step in range(3):
        u = np.broadcast_to(controls[0, step], [num_draws, 2])
        mean, variance = np.zeros([num_draws, 2]), np.ones([num_draws, 2])
        if is_posterior and step == 0:
            mean, variance = mean + first_mean, variance * first_variance
        elif is_posterior and mask[0, step]:
            # One layer, of all that it sees.
            of_frame = layer(r.of_frame, np.concatenate([features[step], controls[0, step]]))
            hidden = relu(of_frame + layer(r.of_state, states))
            mean, variance = layer(r.mean, hidden), softplus(layer(r.variance, hidden))
        w = mean + np.sqrt(variance) * rng.normal(size=[num_draws, 2])
        total += log_normal(w, 0, np.ones(2)) - log_normal(w, mean, variance)
        if step == 0:
            states = layer(t.first, relu(layer(t.first_hidden, w)))
        else:
            logits = layer(t.alpha, np.concatenate([states, u], axis=-1))
            alpha = np.exp(logits - logits.max(axis=-1, keepdims=True))
            alpha /= alpha.sum(axis=-1, keepdims=True)
            states = (
                np.einsum("sk,kij,sj->si", alpha, A, states)
                + np.einsum("sk,kij,sj->si", alpha, B, u)
                + np.einsum("sk,kij,sj->si", alpha, C, w)
            )
        if mask[0, step]:
            total += log_pixels(model, states, images[0, step])
    return total


def test_it_is_a_bound():
    config = Config(model="dvbf", K=3, **sampling.OPTIONS)
    model, (images, mask, controls) = DeepVariationalBayesFilter(config), sampling.data()
    model.build((None, None, 3, 3))
    sampling.disturb(model)
    of_both = [log_weights(model, images, mask, controls, 400_000, posterior) for posterior in (True, False)]
    many = [np.repeat(array, 2000, axis=0) for array in (images, mask, controls)]
    bounds = [float(model.elbo(*many, seed=seed).total) * 2 for seed in range(5)]
    sampling.check(model, bounds, *of_both)


def test_alpha_weighs_the_matrices():
    model = DeepVariationalBayesFilter(Config(model="dvbf", K=4, dim_a=3, num_filters=(4,)))
    alpha = model.smooth(np.random.default_rng(0).random([2, 5, 8, 8]) > 0.5).alpha.numpy()
    assert alpha.shape == (2, 5, 4)
    np.testing.assert_allclose(alpha.sum(axis=-1), 1, atol=1e-5)
    # No transition leads into the first step.
    np.testing.assert_allclose(alpha[:, 0], 0.25)


def test_the_spread_of_states_is_that_of_their_noise():
    config = Config(model="dvbf", K=3, **sampling.OPTIONS)
    model, (images, _, controls) = DeepVariationalBayesFilter(config), sampling.data()
    model.build((None, None, 3, 3))
    sampling.disturb(model)
    r = model.recognition
    # So narrow that a network is a linear map.
    for dense in (r.first_variance, r.variance):
        dense.kernel.assign(tf.zeros_like(dense.kernel))
        dense.bias.assign([-9.0] * 2)
    found = model.encode(images, np.ones([1, 3]), controls)
    features = model.features(images, model.seeds(0))
    drawn = model.sample_codes(features, np.ones([1, 3]), controls, 4000, seed=0).numpy()[0]
    np.testing.assert_allclose(drawn[:, 0].std(axis=0), found.stddev()[0, 0], rtol=0.1)
    np.testing.assert_allclose(drawn.mean(axis=0), found.mean()[0], atol=0.02)


def test_it_warms_up_by_its_likelihood_and_its_prior():
    images = np.random.default_rng(0).random([2, 4, 8, 8])
    for warm_up, weight in ((0.5, 0.25), (0.0, 1.0)):
        options = dict(model="dvbf", num_filters=(4,), warm_up=warm_up, scale_reconstruction=0.6)
        model = DeepVariationalBayesFilter(Config(**options))
        model.code_weight.assign(0.25)
        bound = model.elbo(images > 0.5, seed=0)
        expected = weight * (0.6 * bound.log_px + bound.state_space) - bound.log_qa
        assert float(model.objective(bound)) == pytest.approx(float(expected), rel=1e-6)
        # What is reported is not weighed.
        total = bound.log_px + bound.state_space - bound.log_qa
        assert float(bound.total) == pytest.approx(float(total), rel=1e-5)
