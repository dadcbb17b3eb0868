// Pages that say how to do something come before those of the code, which name the same words more often.
var Scorer = {
  score: (result) => {
    const [page, , , , score] = result;
    if (page.startsWith("reference/api")) return score - 100;
    return page.startsWith("reference/") || page === "changelog" ? score - 50 : score;
  },
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
