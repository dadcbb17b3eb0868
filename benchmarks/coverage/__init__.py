"""Whether what is said of comparisons, folds and rare conditions holds as often as it claims.

``python -m benchmarks.coverage``; ``--short`` in seconds, to see that it runs. The protocol, written before any of
its results. Everything is simulated, so that the truth is known. Seed 0 is for looking; what is reported is seed 1.
Of the candidates below, the tables show all, and the package has the one that its rule picks.

*Seeds* (:mod:`benchmarks.coverage.seeds`). Two or four strategies that are equally good, trained with 3, 5 or 10
seeds and tested on the same 100, 300 or 1,000 patients with one recording each. Macro AUROC of two conditions, which
30% and 6% of the patients have; its standard deviation between seeds is 0, .02, .034, .07 or .1 around .88. Scores of
two trainings correlate, those of one strategy more. In a second set of settings the seeds of the first strategy do
not vary and those of the others do. Judged is the share of sweeps in which Holm's method tells any two strategies
apart at 5%.

- ``percentile``: patients and seeds drawn anew, percentiles; what the package had.
- ``satterthwaite``: the difference over the root of s^2/S + v, where s^2 is the variance of the differences between
  the S seeds and v the variance between patients, against t with Satterthwaite's degrees of freedom (Biometrics
  1946;2:110).
- ``cochran``: the same ratio against the mean of the t quantiles of both parts, weighted by s^2/S and v (Cochran
  1964).
- ``seeds alone``: the same ratio against t with S - 1 degrees of freedom.

Rule: of those that tell apart at most 5% on average over the settings of each number of seeds, and in no setting more
than 5% by more than chance (binomial, p < 0.001 one-sided), the one that most often tells two strategies apart whose
AUROC differs by .05.

*Folds* (:mod:`benchmarks.coverage.folds`). 120 or 300 recordings of six conditions with prevalences of 40% to 6%,
dealt to 5 or 10 stratified folds. A linear classifier of 30 features is trained on four fifths of the other folds and
its temperature fitted on the last fifth; in half of the settings, noise is added to its weights, as chance of
training. Two numbers may be reported: macro AUROC of all folds as one, and the mean of the folds, which is the mean
over the conditions of their mean AUROC over the folds that have them. The one is named that is closer to what the
folds' models do on 1,500 other recordings (root mean square distance over all settings). Judged is how often a 95%
interval holds the procedure's mean, that of the same number over all studies.

- ``patients``: that of the pooled macro AUROC over patients, around either number; what the package had.
- ``x sqrt(c)``: its distances from the estimate, on the logit scale, times the root of c = K/(K - 1), of c = 1.5 + 1
  / (K - 1), or of c = 1 + K/(K - 1), which is the factor of Nadeau and Bengio (Mach Learn 2003;52:239) for K folds.
- ``folds, Nadeau and Bengio``: variance between the folds' macro AUROC times 1/K + 1/(K - 1), t with K - 1 degrees of
  freedom.

Rule: the narrowest, of either number, that holds it in 93% or more in every setting, or below by no more than chance
(p < 0.01), and in 93% or more on average. Nested cross-validation (Bates, Hastie and Tibshirani, JASA 2024;119:1434)
trains K^2 models in place of K and is left out.

*Two models* (:mod:`benchmarks.coverage.models`). Six conditions that 6 or 30 patients have, one in twenty each;
scores of the two models correlate by 0.5, and both have the same AUROC, .75, .85 or .95. Judged is how often the 95%
interval of the difference of macro AUROC lies beside 0, over 400 resamples.

- ``percentile``: percentiles of the resamples; what the package had.
- ``expanded``: percentiles expanded as for m patients (Hesterberg 2015), m - 1 being the degrees of freedom below.
- ``t``: the estimate and the root of its variance times a t quantile. The variance is that of the resamples, times
  the sum of v m / (m - 1) over the sum of v, and the degrees of freedom are Satterthwaite's, (sum w)^2 over the sum
  of w^2 / (m - 1), where v is the variance of a condition's difference, m the number of its rarer patients and w = v
  m / (m - 1).

Rule: of those that tell 5% or fewer on average over the settings of each number of patients, and in no setting more
by more than chance (p < 0.01), the narrowest.

*Rare conditions* (:mod:`benchmarks.coverage.areas`). AUROC of one model, in the settings of
:mod:`benchmarks.bootstrap` with 5, 6, 8, 15 and 44 patients with the condition. Variances are those of placements
(DeLong; Obuchowski for patients with several recordings), and m is the number of the rarer patients.

- ``further``: the further ends of logit with t of m - 1 degrees of freedom, and Newcombe's; what the package had.
- ``newcombe``: Newcombe's method 5 with numbers of patients. ``logit z``, ``logit t``: Wald intervals on the logit
  scale.
- ``score k``: the truths A at which (A - estimate)^2 = t^2 r V(A), where V is Newcombe's variance. r is the variance
  of the placements over V at the estimate, drawn towards 1 as if k degrees of freedom had shown 1: (k + (m - 1) r) /
  (k + m - 1); t has k + m - 1 degrees of freedom; k is 2, 4, 8 or 16.
- ``score k+``: the same, with r at least 1.

A perfect AUROC has the one-sided bound in all of them. Rule: of those that hold 94% or more on average over the
settings of each number of patients, and in no setting less than 93% by more than chance (p < 0.001), the narrowest on
average; 97% is the most that is wished.
"""
