"""Labs: five classic uses of autoencoders, on real data."""

from explorer import catalogue, data, jobs
from explorer.labs import show
from explorer.stage import labs

jobs.here().warm()
models = catalogue.shipped()
labs(show.for_browser(models), catalogue.for_browser(models, data.titles()))
