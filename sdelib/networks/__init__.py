"""Networks that are scores, velocities and denoisers; what they learn is in the modules of the
mathematics, which need none of them."""

from .denoisers import Denoiser, DenoiserMLP, DenoiserNetwork
from .layers import Attention, NoiseEmbedding, ResBlock, fits
from .mlp import MLP
from .scores import ScoreMLP, ScoreNetwork, ScoreUNet, VelocityMLP
from .unet import UNet

__all__ = ["MLP", "Attention", "Denoiser", "DenoiserMLP", "DenoiserNetwork", "NoiseEmbedding"]
__all__ += ["ResBlock", "ScoreMLP", "ScoreNetwork", "ScoreUNet", "UNet", "VelocityMLP", "fits"]
