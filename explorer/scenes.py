"""The scenes of Learn, as data: what each says, asks and shows. What they show is computed in stage/claims.js.

A scene's claim names a computation that gives one number; bounds say which choice that number makes right: choice i for
a number below bounds[i], the last one for any other.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from explorer import catalogue, frontier, scoreboard
from explorer.checkpoints import PRETRAINED
from explorer.files import DamagedFile

MOST_WORDS = 90
MODELS = ("mnist-ae-2", "mnist-vae-2", "mnist-ae-16", "mnist-vae-16")
MEASURED = ("accepted/prior", "path_step/", "frechet/prior", "frechet/mixture", "recon/")


@dataclass(frozen=True)
class Scene:
    """text: what one needs for the guess, and what is said once the answer is there. picture: a small one by name, or
    None. stage: the query of the stage's prepared state, or None; one of the two is there, and where both are, the
    picture stands below. hide: parts of the stage that do not belong here; later: parts that would give the answer
    away, and come with it. tries: something to do; look: what to look at meanwhile.
    """

    title: str
    text: tuple[str, ...]
    question: str
    choices: tuple[str, ...]
    claim: str
    bounds: tuple[float, ...]
    tries: str
    look: str
    picture: str | None = None
    stage: dict[str, str] | None = None
    hide: str = ""
    later: str = ""

    @property
    def words(self) -> int:
        return sum(len(paragraph.split()) for paragraph in self.text)


SCENES = (
    Scene(
        title="A machine that copies",
        text=(
            "An autoencoder (AE) has two halves. The encoder turns the 784 pixels of an image into a few numbers, the "
            "code. The decoder turns the code back into 784 pixels: as many outputs as inputs.",
            "It is trained for one thing: the copy shall look like the original. The trick is the narrow middle, the "
            "bottleneck. What does not fit through it is lost, so the network has to find out what is worth keeping.",
        ),
        question="How many numbers must the code have, at least, so that 9 copies in 10 can still be read?",
        choices=("1 number", "2 numbers", "8 numbers", "32 numbers"),
        claim="readable",
        bounds=(1.5, 4.0, 16.0),
        tries="choose another image, then another size of the code.",
        look="what is lost first: the hand it was written by, then the digit.",
        picture="network",
    ),
    Scene(
        title="Fewer numbers",
        text=(
            "Saying the same with fewer numbers is dimensionality reduction. Selection keeps some of the pixels and "
            "guesses the others. Extraction makes new features out of all pixels. Either should keep the most "
            "information and lose the least in the reconstruction.",
            "Packing a file loses nothing: every byte comes back. That is lossless. A code of eight numbers is lossy: "
            "it saves far more, and what it drops is gone.",
        ),
        question="You may keep 8 numbers of an image. Which way loses least?",
        choices=("8 of its pixels, the most telling", "8 weighted sums of pixels (PCA)", "8 numbers of a deep encoder"),
        claim="kept",
        bounds=(0.5, 1.5),
        tries="keep 1, 2, 8 or 32 numbers.",
        look="the pixels that were kept, and how the blur turns into a digit.",
        picture="features",
    ),
    Scene(
        title="PCA is a small autoencoder",
        text=(
            "Take every bend out of an autoencoder: one linear layer in, one out, two numbers between, trained on "
            "the squared error. Principal component analysis (PCA) needs no training: it computes the two "
            "directions along which the images differ most.",
            "The best a linear autoencoder can do is to project onto a plane, and PCA's is the best there is. Its "
            "two axes may be others: any two directions in that plane copy equally well, and nothing asks for "
            "more. A deep autoencoder may bend the plane.",
        ),
        question="It starts from random weights. Where will its error end, beside that of PCA with two components?",
        choices=("Below: it beats PCA", "At the same error", "Above: it finds a worse plane"),
        claim="linear",
        bounds=(0.99, 1.01),
        tries="train it again from other random weights.",
        look="the angle between the two planes, which closes; and the axes, which are others in each run.",
        picture="linear",
    ),
    Scene(
        title="Too good to be true",
        text=(
            "Give an autoencoder many layers and twelve images. Now a single number is code enough: each image gets "
            "its place on a line, and the decoder knows all twelve by heart. The loss says: perfect.",
            "But nothing was understood. Between two places one image merely dissolves into the next, and new images "
            "find no place at all. The size of the code and the depth of the network have to fit the data.",
        ),
        question="Its twelve copies are perfect. How good are its copies of images it has never seen?",
        choices=("As good", "Worse, but better than one mean image for all", "Worse than one mean image for all"),
        claim="by_heart",
        bounds=(0.1, 1.0),
        tries="move along the line, from one image to the next.",
        look="what stands between two images: is any of it new?",
        picture="line",
    ),
    Scene(
        title="Nobody asked for order",
        text=(
            "An AE is trained to encode and to decode, and for nothing else. Where its codes lie, how far they "
            "reach, whether there are gaps: no part of the loss speaks of it. N(0, I), the standard Gaussian, "
            "means: draw each number of a code around 0 with spread 1.",
            "As long as a code comes from a real image, all is well. A code from elsewhere was never decoded in "
            "training. That is why an AE, as it is, is no generator.",
        ),
        question="This AE copies well. Decode codes drawn from N(0, I): how many will pass for a digit?",
        choices=("Fewer than one in ten", "About half", "Nearly all"),
        claim="disorder",
        bounds=(0.1, 0.75),
        tries="press Resample; then press a point of the map.",
        look="the samples, and beside them the copy of a real image by the same decoder.",
        stage={"d": "16"},
        hide="right bridge switches walk words header sliders mixture",
        later="samples",
    ),
    Scene(
        title="Two properties",
        text=(
            "What would a space need, so that one can make images from it? Continuity: codes that are near each other "
            "decode to images that are alike. Completeness: a code drawn from a known distribution decodes to "
            "something real.",
            "The walk shows the first, the samples the second. A good reconstruction shows neither. Both can be "
            "measured, and then one need not be lucky with the example.",
        ),
        question="On a straight walk between two codes, whose largest jump will be smaller?",
        choices=("The VAE's", "Neither's: they cannot be told apart", "The AE's"),
        claim="properties",
        bounds=(0.95, 1.05),
        tries="drag A and B on a map, and play the walk.",
        look="where the image changes all at once.",
        stage={"a": "i0", "b": "i1"},
        hide="bridge switches words header sliders tools trust inspect",
        later="samples walk",
    ),
    Scene(
        title="An image becomes a distribution",
        text=(
            "An AE turns an image into one point. A variational autoencoder (VAE) turns it into a small cloud: a mean "
            "mu, and a spread sigma in each direction. A point is drawn from it, z = mu + sigma · epsilon, and "
            "decoded.",
            "The chance sits in epsilon alone, so mu and sigma can be trained. And since the decoder never knows which "
            "point of the cloud it will get, all of them have to give the same image.",
        ),
        question="A hundred points are drawn from the cloud of this image. In how many does one read the same digit?",
        choices=("In few: the points are random", "In about half", "In nearly all"),
        claim="cloud",
        bounds=(0.35, 0.8),
        tries="pull mu, sigma and epsilon; draw again.",
        look="how wide the cloud may become before another digit appears.",
        picture="cloud",
    ),
    Scene(
        title="The price of order",
        text=(
            "The VAE's loss is reconstruction + KL. KL = ½ · sum(mu² + sigma² − 1 − ln sigma²) is what an image's "
            "cloud costs, in nats. Only the standard Gaussian, mean 0 and spread 1, costs nothing.",
            "Reconstruction pulls a cloud together and away from all others, so that nothing is mixed up. KL "
            "pulls it towards the standard Gaussian. Training rests where the two pulls balance over all images; "
            "for a single one they nearly do.",
        ),
        question="Train without the KL (beta = 0). What becomes of the clouds, against the distances between them?",
        choices=("They shrink almost to points", "They stay as they are", "They grow into one another"),
        claim="shrink",
        bounds=(0.5, 2.0),
        tries="pull mu and sigma; then try both extremes.",
        look="the two arrows: where are they equally long, and where is the sum least?",
        picture="pulls",
    ),
    Scene(
        title="The dial",
        text=(
            "Beta weighs the KL; the VAEs of this dial differ in nothing else. Samples are compared with real "
            "images by their Fréchet distance: how far apart the two lie as clouds, in the features of a "
            "classifier. Less is nearer.",
            "At beta 0 there is no order: an AE with some noise in its code. At 50 order is all: every image "
            "decodes to the mean of all, which is called collapse. Between them lies a choice, not a truth. Each "
            "beta buys order with copies that lose more.",
        ),
        question="16 dimensions, samples from N(0, I): at which beta do they come nearest to real digits?",
        choices=("Below 0.5: good copies count most", "From 0.5 to 5", "Above 5: order counts most"),
        claim="compromise",
        bounds=(0.5, 5.0),
        tries="turn the dial from 0 to 50.",
        look="the samples of the VAE, and its reconstruction and KL beside the dial.",
        picture="trade",
        stage={"d": "16", "left": "mnist-ae-16-seed0", "right": "mnist-vae-16-beta1-seed0"},
        hide="bridge figures ae-rows switches walk words header sliders tools trust inspect",
        later="samples",
    ),
    Scene(
        title="What the VAE really buys",
        text=(
            "An AE can be made to sample, too: fit a density to its codes, here a mixture of ten Gaussians, and draw "
            "from that. So compare three rows: the AE from N(0, I), which it was never meant for; the AE from its "
            "mixture; the VAE from N(0, I), built in from the start.",
            "What an AE lacks is not the ability to generate but a known distribution to draw from. A VAE's codes "
            "follow N(0, I), but only nearly: so a mixture helps it, too.",
        ),
        question="16 dimensions: which samples are nearest to real digits?",
        choices=("AE from N(0, I)", "AE from the fitted mixture", "VAE from N(0, I)"),
        claim="honest",
        bounds=(0.5, 1.5),
        tries="press Resample.",
        look="all three rows: they come from the same random numbers.",
        stage={"d": "16"},
        hide="bridge switches walk words header sliders tools trust inspect",
        later="samples",
    ),
)


def for_browser(models: catalogue.Catalogue) -> dict[str, Any]:
    """The scenes, the addresses of the small models they show, and the measured figures they quote."""
    return {
        "scenes": [asdict(scene) for scene in SCENES],
        "files": {name: f"atlas/{part.sha256}" for name, part in models.lessons.items()},
        "figures": {name: measured(name) for name in MODELS},
        "frontier": trade(),
    }


def measured(name: str) -> dict[str, dict[str, float | None]]:
    """Of a shipped model the figures that scenes quote; empty if it was not measured."""
    try:
        board = scoreboard.load(PRETRAINED / name)
    except DamagedFile:
        return {}
    kept = ("value", "low", "high", "ceiling", "floor")
    return {one.key: {key: getattr(one, key) for key in kept} for one in board.figures if one.key in MEASURED}


def trade() -> list[dict[str, float]]:
    """At 16 dimensions for each beta the seeds' means of recon, kl and the Fréchet distance from N(0, I), here frechet.

    Empty without a frontier.
    """
    try:
        found = frontier.load(PRETRAINED / "frontier" / "mnist.json")
    except DamagedFile:
        return []
    made = []
    for beta in found.betas(16):
        means = {
            key: frontier.mean(found.of("vae", 16, beta), what)
            for key, what in (("recon", "recon"), ("kl", "kl"), ("frechet", "frechet/prior"))
        }
        if all(means.values()):
            made.append({"beta": beta, **{key: mean[0] for key, mean in means.items() if mean}})
    return made
