// The table of videos: sorted by its headers, filtered by name and kind. Without this script it is a plain table.
(() => {
  const table = document.getElementById("all");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const value = (row, column) => {
    const cell = row.cells[column];
    return "v" in cell.dataset ? Number.parseFloat(cell.dataset.v) : cell.textContent.trim().toLowerCase();
  };
  const before = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  heads.forEach((head, column) => {
    if (!("sort" in head.dataset)) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      // Numbers from the highest on first, names from A.
      const first = head.dataset.sort;
      const now = head.getAttribute("aria-sort");
      const order = now !== first ? first : first === "descending" ? "ascending" : "descending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const keyed = rows.map((row) => [value(row, column), row]);
      // What has no number comes last either way.
      keyed.sort(([a], [b]) => Number.isNaN(a) - Number.isNaN(b) || sign * before(a, b));
      body.append(...keyed.map(([, row]) => row));
    });
  });
  const box = document.getElementById("filter");
  const text = document.getElementById("filter-text");
  const kind = document.getElementById("filter-kind");
  const count = document.getElementById("filter-count");
  const filter = () => {
    const wanted = text.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const fits =
        (!kind.value || row.dataset.kind === kind.value) && (!wanted || row.dataset.text.toLowerCase().includes(wanted));
      row.hidden = !fits;
      shown += fits;
    }
    count.textContent = `${shown} of ${rows.length} videos`;
  };
  text.addEventListener("input", filter);
  kind.addEventListener("change", filter);
  filter(); // a browser that goes back keeps what was typed
  box.hidden = false;
})();
