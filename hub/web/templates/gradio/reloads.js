// With --reload: a page that is older than its saved demo is loaded again; home, which shows all demos, for any of them.
(() => {
  const LOOK_MS = 500, slug = location.pathname.split("/").filter(Boolean).pop() || "";
  const look = async () => {
    try {
      const ages = await (await fetch("api/v1/reloads", { cache: "no-store" })).json();
      const age = slug ? ages[slug] : Math.min(...Object.values(ages));
      if (age * 1000 < performance.now()) return location.reload();
    } catch { /* the hub is about to be started again */ }
    setTimeout(look, LOOK_MS);
  };
  look();
})();
