// <demo-hub-page src="https://demos.example.org/vehicle_classifier"></demo-hub-page>: one page of a Demo Hub, in a
// frame as high as the page. Attributes: src; title, for screen readers; height, until the page has told its own.
(() => {
  if (customElements.get("demo-hub-page")) return;

  class DemoHubPage extends HTMLElement {
    static observedAttributes = ["src", "title", "height"];

    constructor() {
      super();
      this.frame = document.createElement("iframe");
      this.frame.style.cssText = "display: block; width: 100%; border: 0; border-radius: 12px;";
      this.frame.allow = "camera; clipboard-write";
      this.frame.loading = "lazy";
      this.hear = (event) => {
        if (event.source !== this.frame.contentWindow || event.origin !== this.origin) return;
        const height = Number(event.data && event.data.demoHubHeight);
        if (height > 0) this.frame.style.height = `${Math.min(Math.ceil(height), 20000)}px`;
      };
      this.attachShadow({mode: "open"}).append(this.frame);
    }

    connectedCallback() {
      this.style.display = "block";
      window.addEventListener("message", this.hear);
      this.update();
    }

    disconnectedCallback() {
      window.removeEventListener("message", this.hear);
    }

    attributeChangedCallback() {
      if (this.isConnected) this.update();
    }

    update() {
      this.frame.title = this.title || "Demo";
      this.frame.style.height = `${Number(this.getAttribute("height")) || 760}px`;
      const address = this.getAttribute("src");
      if (!address) return;
      const url = new URL(address, document.baseURI);
      if (!["http:", "https:"].includes(url.protocol)) return;
      this.origin = url.origin;
      if (this.frame.src !== url.href) this.frame.src = url.href;
    }
  }

  customElements.define("demo-hub-page", DemoHubPage);
})();
