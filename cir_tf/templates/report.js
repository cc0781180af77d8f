"use strict";
// Filters of each protocol's queries: every list says how many queries would be left, given all the other choices.
for (const section of document.querySelectorAll(".queries")) {
  const form = section.querySelector("form");
  const grid = section.querySelector(".cards");
  const lists = [...form.querySelectorAll("select[data-filter]")];
  const queries = [...grid.children].map((card) => ({ card, rank: Number(card.dataset.rank) }));
  for (const query of queries) {
    for (const { name } of lists) {
      const value = query.card.dataset[name];
      query[name] = name === "edit" || name === "outcome" ? value.split("|") : [value];
    }
  }

  // A word is searched in the text and the query's id; a picture is found by its whole id.
  const has = (query, word) => {
    query.said ??= [".text", ".id"].map((part) => query.card.querySelector(part).textContent.toLowerCase()).join(" ");
    query.ids ??= new Set([...query.card.querySelectorAll("[title]")].map((picture) => picture.title.toLowerCase()));
    return query.said.includes(word) || query.ids.has(word);
  };

  const tests = () => {
    const found = {};
    const { from, to, words } = form.elements;
    if (from.value || to.value) {
      const low = Number(from.value || 1), high = Number(to.value || Infinity);
      found.rank = (query) => query.rank >= low && query.rank <= high;
    }
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (wanted.length) found.words = (query) => wanted.every((word) => has(query, word));
    for (const { name, value } of lists) if (value) found[name] = (query) => query[name].includes(value);
    return Object.entries(found);
  };

  const update = () => {
    const active = tests();
    const counts = lists.map(() => new Map());
    let shown = 0;
    for (const query of queries) {
      const failed = active.filter(([, test]) => !test(query)).map(([name]) => name);
      query.card.hidden = failed.length > 0;
      shown += failed.length === 0;
      lists.forEach(({ name }, place) => {
        if (failed.some((other) => other !== name)) return;
        for (const value of new Set(["", ...query[name]])) counts[place].set(value, (counts[place].get(value) ?? 0) + 1);
      });
    }
    lists.forEach((list, place) => {
      for (const option of list.options) {
        const count = counts[place].get(option.value) ?? 0;
        option.textContent = `${option.dataset.label} (${count.toLocaleString("en")})`;
      }
    });
    section.querySelector(".count").textContent = shown.toLocaleString("en");
    section.querySelector(".empty").hidden = shown > 0;
  };

  const sort = () => {
    const sign = { best: 1, worst: -1 }[form.elements.order.value] ?? 0;
    const rank = (query) => query.rank || Infinity;
    const sorted = sign ? [...queries].sort((a, b) => sign * (rank(a) - rank(b)) || 0) : queries;
    grid.append(...sorted.map((query) => query.card));
  };

  form.addEventListener("input", update);
  form.elements.order.addEventListener("change", sort);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => { update(); sort(); }));
  form.hidden = false;
  form.reset();
}
