"""What a user would pick instead, measured in the same run as ours."""

import importlib
import importlib.util

import numpy as np

from tools.types import FloatArray

LONG, SHORT = 0.01, 0.1
SEASON = 86400.0


def ewma_z(values: FloatArray, alpha: float = 0.1) -> FloatArray:
    """|x - EWMA| over the EWMA of the variance, the standard control chart (Roberts 1959)."""
    level, variance = float(values[0]), 0.0
    out = np.zeros(len(values))
    for i, value in enumerate(values.tolist()):
        residual = value - level
        if variance > 0:
            out[i] = abs(residual) / variance**0.5
        level += alpha * residual
        variance = (1.0 - LONG) * variance + LONG * residual * residual
    return out


def holt_winters(times: FloatArray, values: FloatArray) -> FloatArray:
    """One-step residual of additive Holt-Winters with a daily season, over its EWMA deviation."""
    step = float(np.median(np.diff(times)))
    period = max(2, round(SEASON / step))
    season = np.zeros(period)
    level, deviation = float(values[0]), 0.0
    out = np.zeros(len(values))
    place = np.round((times - times[0]) / step).astype(np.int64) % period
    for i, (value, slot) in enumerate(zip(values.tolist(), place.tolist(), strict=True)):
        residual = value - level - season[slot]
        if deviation > 0:
            out[i] = abs(residual) / deviation
        level += SHORT * residual
        season[slot] += 0.2 * residual
        deviation = (1.0 - LONG) * deviation + LONG * abs(residual)
    return out


def three_sigma(values: FloatArray) -> FloatArray:
    """|x - mean| over the standard deviation of all values before."""
    count = np.arange(1.0, len(values) + 1)
    centred = values - values[0]
    mean = np.cumsum(centred) / count
    variance = np.maximum(np.cumsum(centred**2) / count - mean**2, 0.0)
    out = np.zeros(len(values))
    deviation = np.sqrt(variance[:-1])
    np.divide(np.abs(centred[1:] - mean[:-1]), deviation, out=out[1:], where=deviation > 0)
    return out


def seasonal_naive(times: FloatArray, values: FloatArray) -> FloatArray:
    """|x - the value of the day before| over the EWMA of that difference's deviation."""
    step = float(np.median(np.diff(times)))
    place = np.searchsorted(times, times - SEASON + step / 2.0) - 1
    place[times - times[0] < SEASON] = 0
    differences = np.where(times - times[0] < SEASON, 0.0, values - values[np.maximum(place, 0)])
    deviation = 0.0
    out = np.zeros(len(values))
    for i, size in enumerate(np.abs(differences).tolist()):
        if deviation > 0:
            out[i] = size / deviation
        deviation = (1.0 - LONG) * deviation + LONG * size
    return out


def spectral_residual(values: FloatArray, window: int = 64, chunk: int = 4096) -> FloatArray:
    """Saliency of each window's last point over the window's mean (Ren et al. 2019)."""
    out = np.zeros(len(values))
    if len(values) < window:
        return out
    views = np.lib.stride_tricks.sliding_window_view(values, window)
    for start in range(0, len(views), chunk):
        spectrum = np.fft.fft(views[start : start + chunk], axis=1)
        amplitude = np.log(np.abs(spectrum) + 1e-8)
        usual = (np.roll(amplitude, 1, axis=1) + amplitude + np.roll(amplitude, -1, axis=1)) / 3.0
        phase = np.exp(1j * np.angle(spectrum))
        saliency = np.abs(np.fft.ifft(np.exp(amplitude - usual) * phase, axis=1))
        mean = saliency.mean(axis=1)
        first = start + window - 1
        out[first : first + len(mean)] = saliency[:, -1] / np.maximum(mean, 1e-12)
    return out


def top_z(train: FloatArray, test: FloatArray, strongest: int = 3) -> FloatArray:
    """The mean of a row's three largest |z| by the training mean and deviation."""
    z = np.abs(test - train.mean(axis=0)) / (train.std(axis=0) + 1e-3)
    mean: FloatArray = np.sort(z, axis=1)[:, -strongest:].mean(axis=1)
    return mean


def var_residual(train: FloatArray, test: FloatArray) -> FloatArray:
    """Mean square of what ridge VAR(1) does not predict, in its training deviation."""
    mean, unit = train.mean(axis=0), train.std(axis=0) + 1e-2
    a, b = (train - mean) / unit, (test - mean) / unit
    x, y = a[:-1], a[1:]
    weights = np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ y)
    noise = (y - x @ weights).std(axis=0) + 1e-2
    out = np.zeros(len(b))
    out[1:] = (((b[1:] - b[:-1] @ weights) / noise) ** 2).mean(axis=1)
    return out


def kmeans_distance(train: FloatArray, test: FloatArray, seed: int) -> FloatArray | None:
    """Distance to the nearest of 50 k-means centres (scikit-learn); None when not installed."""
    if importlib.util.find_spec("sklearn") is None:
        return None
    cluster = importlib.import_module("sklearn.cluster")
    mean, unit = train.mean(axis=0), train.std(axis=0) + 1e-2
    model = cluster.MiniBatchKMeans(50, random_state=seed, n_init=3)
    model.fit(np.clip((train - mean) / unit, -10, 10))
    distance: FloatArray = model.transform(np.clip((test - mean) / unit, -10, 10)).min(axis=1)
    return distance
