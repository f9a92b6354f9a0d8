/* The administrators' page: asks the pool every two seconds, and draws what it says. */
(() => {
  const EVERY = 2000;
  const KEPT = 600;
  const MOST_USERS = 15;
  const form = document.getElementById("who");
  const told = document.getElementById("told");
  const facts = document.getElementById("facts");
  let before = null;

  const models = name =>
    Bokeh.documents.map(d => d.get_model_by_name(name)).filter(found => found !== null);

  function row(cells, kind = "td") {
    const line = document.createElement("tr");
    for (const text of cells) {
      const cell = document.createElement(kind);
      cell.textContent = text;
      line.append(cell);
    }
    return line;
  }

  function table(caption, head, rows) {
    const made = document.createElement("table");
    made.createCaption().textContent = caption;
    made.append(row(head, "th"), ...rows.map(cells => row(cells)));
    return made;
  }

  function show(state) {
    const now = Date.now();
    const objects = state.events.objects;
    const busy = state.workers.reduce((sum, worker) => sum + worker.busy_s, 0);
    const waiting = Object.values(state.waiting_s).reduce((sum, s) => sum + s, 0);
    const seconds = before === null ? NaN : (now - before.now) / 1000;
    const share = (busy - (before ? before.busy : 0)) / (seconds * state.workers.length);
    const point = {
      time: now,
      // A worker that was replaced begins to count anew.
      speed: Math.max(0, (objects - (before ? before.objects : 0)) / seconds),
      busy: Math.min(1, Math.max(0, share)),
      waiting
    };
    before = { now, objects, busy };
    for (const source of models("over_time")) {
      const data = {};
      for (const [name, value] of Object.entries(point)) {
        data[name] = [...source.data[name], value].slice(-KEPT);
      }
      source.data = data;
    }
    const users = Object.entries(state.waiting_s)
      .sort((a, b) => b[1] - a[1])
      .slice(0, MOST_USERS)
      .reverse();
    for (const range of models("users")) {
      range.factors = users.map(([user]) => user);
    }
    for (const source of models("waiting")) {
      source.data = { user: users.map(u => u[0]), seconds: users.map(u => u[1]) };
    }
    facts.replaceChildren(
      table(
        "Workers",
        ["device", "state", "objects", "busy (s)"],
        state.workers.map(w => [w.device, w.computing ? "computing" : "idle", w.objects, w.busy_s])
      ),
      table("Since the start", ["what", "how often"], Object.entries(state.events)),
      table(
        "Worker time",
        ["user", "model", "seconds"],
        state.used.map(u => [u.user, u.model, u.seconds])
      )
    );
    told.textContent = `as of ${new Date(now).toLocaleTimeString()}`;
  }

  async function ask() {
    const token = sessionStorage.getItem("pool-token");
    if (token === null) {
      return;
    }
    try {
      const reply = await fetch("v1/status", { headers: { Authorization: `token ${token}` } });
      const found = await reply.json();
      if (reply.ok) {
        form.hidden = true;
        show(found);
      } else {
        told.textContent = [found.what, found.cause, found.remedy].filter(Boolean).join(". ");
        if (reply.status === 401 || reply.status === 403) {
          sessionStorage.removeItem("pool-token");
          form.hidden = false;
        }
      }
    } catch (err) {
      told.textContent = `The pool does not answer: ${err.message}`;
    }
  }

  form.addEventListener("submit", event => {
    event.preventDefault();
    sessionStorage.setItem("pool-token", form.elements.token.value.trim());
    form.reset();
    void ask();
  });
  void ask();
  setInterval(() => void ask(), EVERY);
})();
