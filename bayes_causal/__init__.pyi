from . import baselines as baselines
from . import errors as errors
from .checks.base import Check as Check
from .checks.catalogue import check as check
from .data.examples import load_example as load_example
from .data.panel import Panel as Panel
from .data.simulate import inject_lift as inject_lift
from .data.simulate import simulate_panel as simulate_panel
from .data.time_series import TimeSeries as TimeSeries
from .estimates import Estimand as Estimand
from .estimates import Estimate as Estimate
from .estimates import compare as compare
from .inference.collapsed import Collapsed as Collapsed
from .inference.estimate import estimate as estimate
from .inference.fit import Auto as Auto
from .inference.fit import fit as fit
from .inference.many import fit_many as fit_many
from .inference.many_estimates import estimate_many as estimate_many
from .inference.numpyro_nuts import NumpyroNuts as NumpyroNuts
from .inference.pymc_nuts import PymcNuts as PymcNuts
from .inference.tree import load_tree as load_tree
from .inference.tree import save_tree as save_tree
from .models.hierarchical_did import HierarchicalDiD as HierarchicalDiD
from .models.structural_time_series import StructuralTimeSeries as StructuralTimeSeries
from .study.run import run_study as run_study
from .study.schema import Study as Study

__version__: str
