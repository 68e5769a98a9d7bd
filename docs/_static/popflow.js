// What the theme leaves to do for those who read by keyboard or by ear.
addEventListener("DOMContentLoaded", () => {
  for (const caption of document.querySelectorAll("p.caption[role=heading]")) caption.ariaLevel = "2";
  document.querySelector(".sidebar-drawer")?.setAttribute("aria-label", "All pages");
  const reachable = () => {
    for (const block of document.querySelectorAll("pre"))
      if (block.scrollWidth > block.clientWidth) block.tabIndex = 0;
      else block.removeAttribute("tabindex");
  };
  reachable();
  addEventListener("resize", reachable);
});
